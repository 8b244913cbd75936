package crane

import (
	"cmp"
	"crypto/x509"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"regcred.dev"
)

// DefaultInterval is how often a directory is looked at where nothing reports its
// changes, as in Crane.
const DefaultInterval = time.Minute

// DirectoryOptions configure a Directory. All but Path may be left out.
type DirectoryOptions struct {
	// Path is the directory: Crane's data_dir. All files below it whose names end in
	// .json are read, links followed. Required. It may be missing at first: there is
	// nothing then until it appears.
	Path string
	// Interval is how often it is looked at besides when the system reports a change;
	// DefaultInterval where it is 0. Network file systems report none.
	Interval time.Duration
	// Owners are names of v1 repositories, whose URLs serve the images that several
	// repositories list: the first one here, else one that is not protected, else the
	// first by name; in any case one that the client may pull.
	Owners []string
	// ClientCAs are where the certificates have to come from by which clients show
	// what they are entitled to. Where it is nil, nobody gets at protected
	// repositories. The listener has to ask for certificates, and the connection has to
	// reach it as TLS: no header is looked at. Go refuses what is signed with SHA-1.
	ClientCAs *x509.CertPool
	// Log gets what changes, at info level, and what is wrong, at error level; nil
	// discards.
	Log *slog.Logger
}

// Directory is a directory of Crane's metadata. It is read at once, and then
// whenever it changes while Run runs; what is served changes as a whole.
//
// A file that cannot be read, or is no metadata, is reported in the log and by
// Status. What it said before goes on being served, so that a slip of the pen, or a
// file that is half written, takes nothing away; after a restart it is left out. The
// same holds for all files of a directory that cannot be read, and where the whole
// directory is gone. A file that is removed takes its repository with it.
type Directory struct {
	path     string
	interval time.Duration
	owners   []string
	cas      *x509.CertPool
	log      *slog.Logger

	files  map[string]file // by path; of whoever calls look
	set    atomic.Pointer[set]
	status atomic.Pointer[Status]
}

// Status says how a Directory is.
type Status struct {
	// Path is the directory.
	Path string `json:"path"`
	// V1 and V2 count the repositories of each protocol, Protected those of both that
	// need a certificate, and Images the ids of v1.
	V1        int `json:"v1"`
	V2        int `json:"v2"`
	Protected int `json:"protected"`
	Images    int `json:"images"`
	// ReadAt is when it was looked at last.
	ReadAt time.Time `json:"read_at"`
	// Bad are files and directories that cannot be used as they are, by path.
	Bad []Bad `json:"bad,omitempty"`
}

// Bad is a file or directory that cannot be used.
type Bad struct {
	Path string `json:"path"`
	// Reason is in words.
	Reason string `json:"reason"`
	// Kept says that what it said before is served.
	Kept bool `json:"kept"`
}

// OpenDirectory reads a directory. Errors: Invalid where none is named. What is
// wrong with the directory itself is logged, and in its Status.
func OpenDirectory(o DirectoryOptions) (*Directory, error) {
	if o.Path == "" {
		return nil, regcred.Errorf(regcred.Invalid, "name the directory of Crane's metadata")
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, regcred.Errorf(regcred.Invalid, "the directory of Crane's metadata: %w", err)
	}
	d := &Directory{
		path: path, interval: cmp.Or(o.Interval, DefaultInterval), owners: slices.Clone(o.Owners),
		cas: o.ClientCAs, log: o.Log, files: map[string]file{},
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	d.status.Store(&Status{})
	d.look(time.Now())
	return d, nil
}

// Status returns how it is.
func (d *Directory) Status() Status {
	s := *d.status.Load()
	s.Bad = slices.Clone(s.Bad)
	return s
}

// Serves reports whether whoever sent a request may pull a repository of the
// directory by v2.
func (d *Directory) Serves(r *http.Request, name string) bool {
	repo := d.set.Load().v2[name]
	return repo != nil && d.newEntitled(r).may(repo)
}

// look reads what changed and swaps it in. It returns the directories that there are.
func (d *Directory) look(now time.Time) (dirs []string) {
	found := d.scan(now)
	d.files = found.files
	var list []*repository
	paths := map[*repository]string{}
	for _, p := range slices.Sorted(maps.Keys(found.files)) {
		if r := found.files[p].repo; r != nil {
			list = append(list, r)
			paths[r] = p
		}
	}
	next, duplicates := newSet(list, d.owners)
	bad := found.bad
	for _, r := range duplicates {
		bad = append(bad, Bad{Path: paths[r], Reason: "another file, which comes before it, is of the same repository " + r.name})
	}
	slices.SortFunc(bad, func(a, b Bad) int { return cmp.Compare(a.Path, b.Path) })
	before := d.set.Swap(next)
	d.report(before, d.status.Swap(newStatus(d.path, now, next, bad)))
	return found.dirs
}

func newStatus(path string, now time.Time, s *set, bad []Bad) *Status {
	status := &Status{Path: path, V1: len(s.v1), V2: len(s.v2), Images: len(s.images), ReadAt: now, Bad: bad}
	for _, repos := range []map[string]*repository{s.v1, s.v2} {
		for _, r := range repos {
			if r.protected {
				status.Protected++
			}
		}
	}
	return status
}

// report logs what is not as it was.
func (d *Directory) report(before *set, last *Status) {
	s := d.status.Load()
	known := map[Bad]bool{}
	for _, b := range last.Bad {
		known[b] = true
	}
	for _, b := range s.Bad {
		if !known[b] {
			d.log.Error("metadata cannot be used", "path", b.Path, "reason", b.Reason, "kept", b.Kept)
		}
	}
	if now := d.set.Load(); before == nil || !maps.Equal(before.v1, now.v1) || !maps.Equal(before.v2, now.v2) {
		d.log.Info("metadata is read", "path", d.path, "v1", s.V1, "v2", s.V2, "protected", s.Protected, "bad", len(s.Bad))
	}
	if before == nil && s.Protected > 0 && d.cas == nil {
		d.log.Warn("nobody gets at the protected repositories: there is no client_ca", "protected", s.Protected)
	}
}
