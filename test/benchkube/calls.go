package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
)

// requestCount matches a line of the API server's metrics: how many requests of one
// kind it has answered. Watches are counted once they end.
var requestCount = regexp.MustCompile(`(?m)^apiserver_request_total\{(.*)\} (\S+)$`)

// counted matches the labels of requests that deliver: none for Leases and
// ServiceAccounts, and none that the API server sends itself.
var counted = regexp.MustCompile(`resource="(secrets|namespaces|events)"`)

// calls returns how many requests the API server has answered so far. Those of the
// bench count too, as long as it sends any.
func (p *plant) calls(ctx context.Context) (int, error) {
	text, err := p.core.RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return 0, fmt.Errorf("the API server's metrics: %w", err)
	}
	return countCalls(text)
}

// countCalls returns how many requests of those that are counted the metrics tell of.
func countCalls(metrics []byte) (int, error) {
	total := 0.0
	for _, line := range requestCount.FindAllSubmatch(metrics, -1) {
		if !counted.Match(line[1]) {
			continue
		}
		n, err := strconv.ParseFloat(string(line[2]), 64)
		if err != nil {
			return 0, fmt.Errorf("the API server's metrics: %w", err)
		}
		total += n
	}
	return int(total), nil
}
