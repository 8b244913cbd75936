package web_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// behindProxy names the variable that tells the test's own binary to ask URLs
// through the proxy of its environment, which net/http reads once per process.
const behindProxy = "REGCRED_TEST_BEHIND_PROXY"

func TestMain(m *testing.M) {
	if urls := os.Getenv(behindProxy); urls != "" {
		for to := range strings.SplitSeq(urls, " ") {
			askBehindProxy(to)
		}
		return
	}
	os.Exit(m.Run())
}

// askBehindProxy prints what comes of a URL.
func askBehindProxy(to string) {
	req, err := http.NewRequest(http.MethodGet, to, nil)
	if err != nil {
		panic(err)
	}
	answer, err := web.New(web.Options{Refuse: web.Private}).Do(req)
	switch {
	case err == nil:
		fmt.Println(to, answer.Status, answer.Remote.IsValid())
	case regcred.CodeOf(err) == regcred.Unavailable && strings.Contains(err.Error(), "not asked"):
		fmt.Println(to, "not asked")
	default:
		fmt.Println(to, err)
	}
}

// TestProxy shows that a proxy from the environment is no way around what is refused:
// what a URL says is looked at before the proxy is asked. The proxy itself may be
// anywhere, on this machine too. Names are the proxy's matter.
func TestProxy(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]bool{}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked[r.URL.Host] = true
		w.WriteHeader(http.StatusTeapot)
	}))
	defer proxy.Close()
	direct := httptest.NewServer(http.NotFoundHandler())
	defer direct.Close()
	_, port, _ := strings.Cut(direct.Listener.Addr().String(), ":")

	want := map[string]string{
		"http://example.com/":              "418 false",
		"http://203.0.113.9/":              "418 false",
		"http://169.254.169.254/":          "not asked",
		"http://[::ffff:169.254.169.254]/": "not asked",
		"http://10.0.0.1/":                 "not asked",
		"http://2852039166/":               "not asked",
		"http://0xa9fea9fe/":               "not asked",
		"http://169.254.43518/":            "not asked",
		"http://１６９.254.169.254/":          "not asked",
		"http://localhost:" + port + "/":   "not asked", // never through a proxy
		"https://169.254.169.254/":         "not asked",
		"https://example.com/":             "example.com cannot be reached: what answers there is no HTTP server, or a proxy on the way refuses",
	}
	var urls []string
	for to := range want {
		urls = append(urls, to)
	}
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), behindProxy+"="+strings.Join(urls, " "),
		"HTTP_PROXY="+proxy.URL, "HTTPS_PROXY="+proxy.URL, "NO_PROXY=", "http_proxy=", "https_proxy=", "no_proxy=")
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(want) {
		t.Errorf("%d answers, want %d: %q", len(lines), len(want), lines)
	}
	for _, line := range lines {
		to, got, _ := strings.Cut(line, " ")
		if got != want[to] {
			t.Errorf("%s: %s, want %s", to, got, want[to])
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for host := range asked {
		if host != "example.com" && host != "203.0.113.9" && host != "example.com:443" {
			t.Errorf("the proxy was asked for %s", host)
		}
	}
	if len(asked) != 3 {
		t.Errorf("the proxy was asked for %v", asked)
	}
}
