package rancher

import "time"

// Record writes a record behind a text, and reads it back.
func Record(text, store, guid string, revision uint64, expires time.Time, made bool) (description string, err error) {
	return record{Store: store, GUID: guid, Revision: revision, Expires: expires, Made: made}.describe(text)
}

// ReadRecord reads the record of a description.
func ReadRecord(description string) (text, store, guid string, revision uint64, expires time.Time, made, ok bool) {
	text, r, ok := parseRecord(description)
	return text, r.Store, r.GUID, r.Revision, r.Expires, r.Made, ok
}

// HostOf reads a serverAddress.
func HostOf(serverAddress string) (string, bool) { return hostOf(serverAddress) }
