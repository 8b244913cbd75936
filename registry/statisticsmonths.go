package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"regcred.dev"
)

// What was counted in a month that is long over is added up, so that there are few
// objects however old the registry is:
//
//	statistics/YYYY-MM/NNNNNN   {"sources":[key,..],"statistics":[{..}],"full":true}
//
// Sources are the objects of days that are in it, which are deleted after it is written.
// Until then, and where whoever does it is killed, both are there: who reads leaves out
// the days that are sources. Several may add up a month at once, by compare-and-swap of
// its last object; the next one is begun when that is full, which it then stays.
//
// Tags that are gone by then are counted for their repository, without a tag.

// statisticsByDay is for how long what was counted can be told by day: somewhat longer
// than the 90 days that lists of tags count.
const statisticsByDay = 92 * 24 * time.Hour

const monthFormat = "2006-01"

// statisticsMonth is such an object.
type statisticsMonth struct {
	Sources    []string    `json:"sources"`
	Statistics []Statistic `json:"statistics"`
	Full       bool        `json:"full,omitempty"`
}

func (m statisticsMonth) sources() map[string]bool {
	set := make(map[string]bool, len(m.Sources))
	for _, key := range m.Sources {
		set[key] = true
	}
	return set
}

func statisticsMonthKey(month string, n int) string {
	return fmt.Sprintf("%s%s/%06d", statisticsPrefix, month, n)
}

// parseStatisticsKey returns the day or month of an object of statistics; the other one
// is "".
func parseStatisticsKey(key string) (day, month string) {
	when, _, _ := strings.Cut(strings.TrimPrefix(key, statisticsPrefix), "/")
	if _, err := time.Parse(dayFormat, when); err == nil {
		return when, ""
	}
	if _, err := time.Parse(monthFormat, when); err == nil {
		return "", when
	}
	return "", ""
}

// statistics adds up the months that are long over.
func (c *collector) statistics(ctx context.Context) error {
	if c.DryRun {
		return nil
	}
	days := map[string][]string{} // keys of their objects, by month
	for info, err := range metered(c.Meter, c.s.blobs.List(ctx, statisticsPrefix, "")) {
		if err != nil {
			return err
		}
		day, _ := parseStatisticsKey(info.Key)
		if day != "" && monthOver(day, c.began.Add(-statisticsByDay)) {
			month := day[:len(monthFormat)]
			days[month] = append(days[month], info.Key)
		}
	}
	tags := liveTags{s: c.s, known: map[string]map[string]bool{}}
	for month, keys := range days {
		// What is damaged stays as it is: who asks for these days is told.
		if err := ignore(regcred.Corrupt, c.s.sumMonth(ctx, month, keys, tags)); err != nil {
			return err
		}
	}
	return nil
}

// monthOver reports whether the month of a day was over at a time.
func monthOver(day string, at time.Time) bool {
	return day[:len(monthFormat)] < at.UTC().Format(monthFormat)
}

// sumMonth adds the objects of days to those of their month, and deletes them.
func (s *Storage) sumMonth(ctx context.Context, month string, days []string, tags liveTags) (err error) {
	for n := 1; len(days) > 0; n++ {
		if days, err = s.sumPart(ctx, statisticsMonthKey(month, n), days, tags); err != nil {
			return err
		}
	}
	return nil
}

// sumPart adds objects of days to one of their month until that is full, deletes those
// that are in it, and returns the others.
func (s *Storage) sumPart(ctx context.Context, key string, days []string, tags liveTags) (rest []string, err error) {
	for range linkTries {
		part, condition, err := s.findStatisticsMonth(ctx, key)
		if err != nil {
			return nil, err
		}
		added := part.sources()
		rest = slices.DeleteFunc(slices.Clone(days), func(day string) bool { return added[day] })
		if !part.Full && len(rest) > 0 {
			if rest, err = s.fill(ctx, &part, rest, tags); err != nil {
				return nil, err
			}
			data, err := encodeJSON(part)
			if err == nil {
				err = s.blobs.Put(ctx, key, data, condition)
			}
			if raced(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
		}
		return rest, s.deleteDays(ctx, days, part.sources())
	}
	return nil, regcred.Errorf(regcred.Unavailable, "others go on adding up statistics: try again")
}

// deleteDays deletes those objects of days that are in their month.
func (s *Storage) deleteDays(ctx context.Context, days []string, added map[string]bool) error {
	for _, day := range days {
		if added[day] {
			if err := s.blobs.Delete(ctx, day, Condition{}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Storage) findStatisticsMonth(ctx context.Context, key string) (m statisticsMonth, c Condition, err error) {
	version, err := s.readJSON(ctx, key, &m)
	if err != nil && regcred.CodeOf(err) == regcred.NotFound {
		return statisticsMonth{}, IfAbsent, nil
	}
	return m, IfVersion(version), err
}

// fill adds objects of days to one of a month until that is full, and returns the
// others. Those that are gone somebody else has added.
func (s *Storage) fill(ctx context.Context, part *statisticsMonth, days []string, tags liveTags) (rest []string, err error) {
	sum := statisticsObject{counts: map[countedAs]Counts{}}
	sum.addAll(part.Statistics)
	for _, source := range part.Sources {
		sum.size += len(source)
	}
	for i, day := range days {
		if part.Full = sum.size >= maxStatistics; part.Full {
			rest = days[i:]
			break
		}
		var list []Statistic
		_, err := s.readJSON(ctx, day, &list)
		if err != nil && regcred.CodeOf(err) == regcred.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, st := range list {
			as, err := tags.counted(ctx, countedAs{st.Repository, st.Tag})
			if err != nil {
				return nil, err
			}
			sum.add(as, st.Counts)
		}
		part.Sources = append(part.Sources, day)
		sum.size += len(day)
	}
	part.Statistics = sum.list()
	return rest, nil
}

// liveTags knows which tags there are, of the repositories that it was asked for.
type liveTags struct {
	s     *Storage
	known map[string]map[string]bool
}

// counted returns what old counts are kept for: a tag, if there is one still.
func (t liveTags) counted(ctx context.Context, as countedAs) (countedAs, error) {
	if as.tag == "" {
		return as, nil
	}
	tags := t.known[as.repo]
	if tags == nil {
		tags = map[string]bool{}
		prefix := tagsPrefix(as.repo)
		for info, err := range t.s.blobs.List(ctx, prefix, "") {
			if err != nil {
				return as, err
			}
			tags[strings.TrimPrefix(info.Key, prefix)] = true
		}
		t.known[as.repo] = tags
	}
	if !tags[as.tag] {
		as.tag = ""
	}
	return as, nil
}
