package publish

import (
	"sync"
	"sync/atomic"
)

// Progress is how far a publish is.
type Progress struct {
	// Contents is how many configs and layers the image has, Done how many of
	// them the repository has by now.
	Contents, Done int
	// Bytes is their size in the archive, BytesDone how much of that has been
	// sent or was there already. It goes down where something is sent again.
	Bytes, BytesDone int64
}

// progress counts, and lets one goroutine of its own report: workers never wait
// for it.
type progress struct {
	total      Progress
	sent, jobs atomic.Int64
	wake, quit chan struct{}
	finished   sync.WaitGroup
}

func startProgress(report func(Progress), jobs map[jobKey]*job) *progress {
	p := &progress{wake: make(chan struct{}, 1), quit: make(chan struct{})}
	for _, j := range jobs {
		p.total.Contents++
		p.total.Bytes += j.blob.Descriptor.Size
	}
	if report != nil {
		p.finished.Go(func() {
			for {
				select {
				case <-p.wake:
					report(p.now())
				case <-p.quit:
					report(p.now())
					return
				}
			}
		})
	}
	return p
}

func (p *progress) now() Progress {
	now := p.total
	now.Done, now.BytesDone = int(p.jobs.Load()), p.sent.Load()
	return now
}

// stop ends the reports, after a last one.
func (p *progress) stop() {
	close(p.quit)
	p.finished.Wait()
}

func (p *progress) changed() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// done counts a finished content.
func (p *progress) done() {
	p.jobs.Add(1)
	p.changed()
}

// reader starts to count one try to send a content.
func (p *progress) reader() *progressReader { return &progressReader{p: p} }

// progressReader counts what one try has read.
type progressReader struct {
	p *progress
	n atomic.Int64
}

func (r *progressReader) add(n int64) {
	r.n.Add(n)
	r.p.sent.Add(n)
	r.p.changed()
}

// takeBack uncounts a try that failed.
func (r *progressReader) takeBack() { r.add(-r.n.Load()) }

// complete counts what did not have to be read.
func (r *progressReader) complete(size int64) { r.add(size - r.n.Load()) }
