package archive

import (
	"io"
	"sync/atomic"
)

// Phase is something that takes long before an archive can be published.
type Phase string

// The phases. An archive has one of the first two at most.
const (
	Downloading Phase = "downloading"
	Unpacking   Phase = "unpacking"      // a compressed archive, or one from standard input
	Reading     Phase = "reading layers" // of v1 images, for their digests
)

// Progress is how far a phase is.
type Progress struct {
	Phase Phase
	// Bytes of Total have been read, as they are stored or sent: compressed ones where
	// they are. Total is 0 where it is not known.
	Bytes, Total int64
}

// meter counts what is read in one phase. Its methods may be called concurrently.
type meter struct {
	report    func(Progress)
	phase     Phase
	total     int64
	n         atomic.Int64
	reporting atomic.Bool
}

func (o Options) meter(phase Phase, total int64) *meter {
	return &meter{report: o.Progress, phase: phase, total: total}
}

// add counts n more bytes. Where another goroutine is reporting, it tells nobody:
// the next one will.
func (m *meter) add(n int64) {
	now := m.n.Add(n)
	if m.report != nil && m.reporting.CompareAndSwap(false, true) {
		m.report(Progress{Phase: m.phase, Bytes: now, Total: m.total})
		m.reporting.Store(false)
	}
}

// stop reports the last time, unless nothing was read. Nobody may count any more.
func (m *meter) stop() {
	if n := m.n.Load(); m.report != nil && n > 0 {
		m.report(Progress{Phase: m.phase, Bytes: n, Total: m.total})
	}
}

// reader returns r, counted.
func (m *meter) reader(r io.Reader) io.Reader { return meteredReader{r, m} }

type meteredReader struct {
	r io.Reader
	m *meter
}

func (r meteredReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.m.add(int64(n))
	return n, err
}
