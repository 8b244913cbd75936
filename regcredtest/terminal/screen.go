// Package terminal is the terminal of a test, with the user at it.
package terminal

import (
	"strings"
	"sync"
)

// Screen is what a program prints to. It does something once the program has said what
// is waited for.
type Screen struct {
	// For is what is waited for, Do what is done then, once.
	For string
	Do  func()

	mu   sync.Mutex
	said strings.Builder
	once sync.Once
}

// Write implements io.Writer.
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	s.said.Write(p)
	s.mu.Unlock()
	if strings.Contains(s.String(), s.For) {
		s.once.Do(s.Do)
	}
	return len(p), nil
}

// String returns all that was said.
func (s *Screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.String()
}
