package main

import (
	"testing"
	"time"
)

func TestCountCalls(t *testing.T) {
	const metrics = `# TYPE apiserver_request_total counter
apiserver_request_total{code="200",group="",resource="secrets",subresource="",verb="PUT",version="v1"} 1000
apiserver_request_total{code="409",group="",resource="secrets",subresource="",verb="PUT",version="v1"} 1
apiserver_request_total{code="201",group="",resource="events",subresource="",verb="POST",version="v1"} 2
apiserver_request_total{code="200",group="coordination.k8s.io",resource="leases",verb="PUT",version="v1"} 40
apiserver_request_total{code="200",group="",resource="serviceaccounts",verb="PATCH",version="v1"} 500
apiserver_request_duration_seconds_count{resource="secrets",verb="PUT"} 1001
`
	if got, err := countCalls([]byte(metrics)); got != 1003 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
	if _, err := countCalls([]byte(`apiserver_request_total{resource="secrets"} many` + "\n")); err == nil {
		t.Error("what is no number is counted")
	}
}

func TestQuantile(t *testing.T) {
	times := make([]time.Duration, 200)
	for i := range times {
		times[i] = time.Duration(200 - i)
	}
	for q, want := range map[int]time.Duration{50: 100, 99: 198, 100: 200} {
		if got := quantile(times, q); got != want {
			t.Errorf("the quantile %d of 1 to 200 is %d, want %d", q, got, want)
		}
	}
	if got := quantile(times[:1], 99); got != 200 {
		t.Errorf("that of one time is %d", got)
	}
}

func TestRatio(t *testing.T) {
	times, floors := []time.Duration{30, 20, 90}, []time.Duration{10, 20, 30}
	if got := ratio(times, floors); got != 3 {
		t.Errorf("got %v, want the median of 3, 1 and 3", got)
	}
}
