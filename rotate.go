package regcred

import "time"

// SettingRotateBy is a setting that every provider takes: the day by which whoever
// owns the credential means to replace what is stored in it, because a password, a
// key or a client secret ends then.
const SettingRotateBy = "rotate-by"

// RotateByField describes SettingRotateBy.
var RotateByField = Field{
	Name:    SettingRotateBy,
	Doc:     "The day, or time, by which the stored secret is to be replaced: status and metrics show it. Nothing stops working then.",
	Example: "2027-06-30",
}

// RotateBy returns when the credential's stored secret is to be replaced, zero where
// that is not said. A day (2027-06-30) means its beginning, UTC; a time is in RFC
// 3339. Errors: Invalid.
func (c Credential) RotateBy() (time.Time, error) {
	text, ok := c.Settings[SettingRotateBy]
	if !ok {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil && isShown(at) {
			return at.UTC(), nil
		}
	}
	return time.Time{}, Errorf(Invalid, "the setting %q is %q: write a day such as 2027-06-30, or a time such as 2027-06-30T12:00:00Z", SettingRotateBy, text)
}

// isShown reports whether a time can be shown: one beyond the year 9999 has no form
// in RFC 3339, nor in JSON, and none that is meant lies before 1970.
func isShown(at time.Time) bool {
	at = at.UTC()
	return at.Unix() > 0 && at.Year() <= 9999
}
