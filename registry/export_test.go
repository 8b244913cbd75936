package registry

import "time"

// SetTiming makes what takes hours in earnest take less in a test.
func (s *Storage) SetTiming(patience, takeover time.Duration) {
	s.patience, s.takeover = patience, takeover
}
