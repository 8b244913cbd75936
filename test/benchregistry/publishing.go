package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// ran is what a command took.
type ran struct {
	wall time.Duration
	peak float64 // MiB of memory
	// heap is the most that was seen of it, in MiB, without what is mapped of the
	// program's file: of that a kernel has as much resident as it likes.
	heap float64
}

// command runs a client to its end.
func command(ctx context.Context, env []string, program string, args ...string) (ran, error) {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // the operator's choice
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return ran{}, err
	}
	ended := make(chan struct{})
	heap := watchHeap(cmd.Process.Pid, ended)
	err := cmd.Wait()
	r := ran{wall: time.Since(began)}
	close(ended)
	r.heap = <-heap
	if err != nil {
		return ran{}, fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, out.String())
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.peak = float64(usage.Maxrss) / 1024 // Linux has KiB
	}
	return r, nil
}

// watchHeap looks at the memory of a process until it has ended, and returns the most
// that it saw, in MiB.
func watchHeap(pid int, ended <-chan struct{}) <-chan float64 {
	result := make(chan float64, 1)
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		var peak float64
		for {
			select {
			case <-ended:
				result <- peak
				return
			case <-tick.C:
				if now, err := memoryOf(pid, "RssAnon"); err == nil {
					peak = max(peak, now)
				}
			}
		}
	}()
	return result
}

// publishWith publishes an image to a registry that is new.
func (b *bench) publishWith(ctx context.Context, image string, in store) (client, server ran, err error) {
	to, err := b.startRegcred(ctx, in)
	if err != nil {
		return ran{}, ran{}, err
	}
	defer func() { to.kill(); _ = os.RemoveAll(to.dir) }()
	client, err = command(ctx, []string{"REGCRED_TOKEN=" + to.token.Reveal()},
		b.regcred, "publish", image, repository+":"+tag, "--to", to.url())
	if err != nil {
		return ran{}, ran{}, err
	}
	server.peak, err = to.peakMemory()
	if err == nil {
		server.heap, err = to.peakHeap()
	}
	return client, server, err
}

// copyWith copies an image by skopeo to a distribution that is new.
func (b *bench) copyWith(ctx context.Context, image string) (ran, error) {
	to, err := b.startDistribution(ctx, store{}, true)
	if err != nil {
		return ran{}, err
	}
	defer func() { to.kill(); _ = os.RemoveAll(to.dir) }()
	return command(ctx, nil, "skopeo", "copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false",
		"oci:"+image+":"+tag, "docker://"+to.addr+"/"+repository+":"+tag)
}

// publishing measures regcred's publish to its registry on a disk, by skopeo's copy to
// distribution.
func (b *bench) publishing(ctx context.Context) error {
	for name, layers := range map[string][]int64{"one-layer": {b.layer}, "many-layers": manyLayers(b.layers)} {
		image, err := b.newImage(layers)
		if err != nil {
			return err
		}
		var ratios, walls, clients, servers []float64
		for range b.publish {
			ours, server, err := b.publishWith(ctx, image, store{})
			if err != nil {
				return err
			}
			theirs, err := b.copyWith(ctx, image)
			if err != nil {
				return err
			}
			ratios = append(ratios, ours.wall.Seconds()/theirs.wall.Seconds())
			walls = append(walls, ours.wall.Seconds())
			clients, servers = append(clients, ours.peak), append(servers, server.peak)
		}
		prefix := "registry/publish-" + name
		b.report.Figure(prefix, median(walls), "s")
		b.report.NoisyAtMost(publishBySkopeo, prefix+"/skopeo", median(ratios), "times")
		b.report.NoisyAtMost(publishMemory, prefix+"/client-memory", median(clients), "MiB")
		b.report.NoisyAtMost(publishMemory, prefix+"/server-memory", median(servers), "MiB")
		if err := os.RemoveAll(image); err != nil {
			return err
		}
	}
	return b.publishingLarge(ctx)
}

// publishingLarge measures the memory that one layer takes which is larger than any
// that is common.
func (b *bench) publishingLarge(ctx context.Context) error {
	if b.large == 0 {
		return nil
	}
	image, err := b.newImage([]int64{b.large})
	if err != nil {
		return err
	}
	client, server, err := b.publishWith(ctx, image, store{})
	if err != nil {
		return err
	}
	b.report.AtMost(largeMemory, "registry/publish-10GiB/client-memory", client.peak, "MiB")
	b.report.AtMost(largeMemory, "registry/publish-10GiB/server-memory", server.peak, "MiB")
	return os.RemoveAll(image)
}

func manyLayers(n int) []int64 {
	sizes := make([]int64, n)
	for i := range sizes {
		sizes[i] = 4 << 20
	}
	return sizes
}
