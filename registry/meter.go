package registry

import (
	"context"
	"iter"
	"sync"
)

// Progress is how far upkeep is.
type Progress struct {
	// Step says in words what goes on. It is the Number-th of Steps, from 1; 0 before
	// the first.
	Step          string
	Number, Steps int
	// Objects are those that the step has come to.
	Objects int64
	// Bytes of content were read, of Total; both are 0 in steps that read none.
	Bytes, Total int64
}

// Meter tells how far a collection or check is while it goes on. The zero Meter is
// ready for use; a nil one tells nothing. It is safe for concurrent use.
type Meter struct {
	mu  sync.Mutex
	now Progress
}

// Now returns how far it is.
func (m *Meter) Now() Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

func (m *Meter) update(change func(*Progress)) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.now)
}

func (m *Meter) object()       { m.update(func(p *Progress) { p.Objects++ }) }
func (m *Meter) read(n int)    { m.update(func(p *Progress) { p.Bytes += int64(n) }) }
func (m *Meter) total(n int64) { m.update(func(p *Progress) { p.Total = n }) }
func (m *Meter) begin(s string) {
	m.update(func(p *Progress) { *p = Progress{Step: s, Number: p.Number + 1, Steps: p.Steps} })
}

// step is a part of upkeep, and what people are told of it.
type step struct {
	what string
	do   func(context.Context) error
}

// run carries out steps, one after the other, until one fails.
func (m *Meter) run(ctx context.Context, steps ...step) error {
	m.update(func(p *Progress) { *p = Progress{Steps: len(steps)} })
	for _, s := range steps {
		m.begin(s.what)
		if err := s.do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// metered counts the objects of a sequence.
func metered[T any](m *Meter, all iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v, err := range all {
			m.object()
			if !yield(v, err) {
				return
			}
		}
	}
}
