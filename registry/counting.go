package registry

import "net/http"

// count counts what a request did that was answered, for the statistics.
func (s *Server) count(rec *recorder, method string, status int) {
	if rec.repo == "" || status >= http.StatusBadRequest || status == http.StatusNotModified {
		return
	}
	var c Counts
	switch {
	case rec.resource == resManifest && method == http.MethodGet:
		c = Counts{Pulls: 1, PulledBytes: rec.sent, LastPulledAt: rec.began.UTC()}
	case rec.resource == resManifest && method == http.MethodHead && rec.tag != "":
		c = Counts{Checks: 1, LastPulledAt: rec.began.UTC()}
	case rec.resource == resManifest && method == http.MethodPut:
		c = Counts{Pushes: 1, PushedBytes: rec.body.n, LastPushedAt: rec.began.UTC()}
	case rec.resource == resBlob && method == http.MethodGet:
		c = Counts{PulledBytes: rec.sent + rec.redirected}
	case rec.resource == resUpload, rec.resource == resUploads:
		c = Counts{PushedBytes: rec.body.n}
	}
	if c != (Counts{}) {
		s.storage.Count(rec.repo, rec.tag, c)
	}
}
