package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"regcred.dev/registry/archive"
	"regcred.dev/registry/publish"
)

// meter shows how far something is: on a terminal in one line that is written over and
// over, else in a line each second. Other lines that go through it stay whole.
type meter struct {
	w     io.Writer
	width int // of the terminal, 0 where there is none

	mu    sync.Mutex // held while a line is written: lines must not mix
	last  time.Time
	shown bool
}

// newMeter returns a meter that shows nothing in its first second, or moment.
func newMeter(w io.Writer) *meter {
	m := &meter{w: w, last: time.Now()}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		m.width = 80
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			m.width = width
		}
	}
	return m
}

// interval is how often a meter shows something new.
func (m *meter) interval() time.Duration {
	if m.width > 0 {
		return 100 * time.Millisecond
	}
	return time.Second
}

// clearLine moves to the beginning of a terminal's line and empties it (ECMA-48, CR and EL).
const clearLine = "\r\x1b[K"

// show shows a line at its time, made only then.
func (m *meter) show(line func() string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.last) < m.interval() {
		return
	}
	m.last = time.Now()
	if m.width == 0 {
		fmt.Fprintln(m.w, line())
		return
	}
	text := []rune(line())
	fmt.Fprint(m.w, clearLine+string(text[:min(len(text), m.width-1)]))
	m.shown = true
}

// Write writes other lines.
func (m *meter) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear()
	return m.w.Write(p)
}

// end leaves the terminal's line empty.
func (m *meter) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear()
}

func (m *meter) clear() {
	if m.shown {
		fmt.Fprint(m.w, clearLine)
		m.shown = false
	}
}

// publishing returns what shows how far a publication is.
func (m *meter) publishing(name string) func(publish.Progress) {
	start := time.Now()
	return func(now publish.Progress) {
		m.show(func() string {
			return fmt.Sprintf("%s: %d of %d contents, %.1f of %.1f MB, %s", name,
				now.Done, now.Contents, float64(now.BytesDone)/1e6, float64(now.Bytes)/1e6, rate(now.BytesDone, start))
		})
	}
}

// opening returns what shows how far an archive is read.
func (m *meter) opening() func(archive.Progress) {
	start := time.Now()
	var phase archive.Phase
	return func(now archive.Progress) {
		if now.Phase != phase {
			phase, start = now.Phase, time.Now()
		}
		m.show(func() string {
			total := ""
			if now.Total > 0 {
				total = fmt.Sprintf(" of %.1f", float64(now.Total)/1e6)
			}
			return fmt.Sprintf("%s: %.1f%s MB, %s", now.Phase, float64(now.Bytes)/1e6, total, rate(now.Bytes, start))
		})
	}
}

// rate says how fast bytes went since a time.
func rate(bytes int64, start time.Time) string {
	return fmt.Sprintf("%.0f MB/s", float64(bytes)/1e6/max(time.Since(start).Seconds(), 1e-3))
}
