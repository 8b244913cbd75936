package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"regcred.dev/client"
	"regcred.dev/cmd/regcred/cli"
)

// operationServer is a server with one operation, which answers by answer.
func operationServer(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) func(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusAccepted)
			_ = json.NewEncoder(w).Encode(client.RegistryOperation{ID: "abc", Kind: "check", Deep: true, State: client.Running})
			return
		}
		answer(w, r)
	}))
	t.Cleanup(srv.Close)
	return func(ctx context.Context, args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		p := &cli.Program{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(name string) string {
			return map[string]string{"REGCRED_SERVER": srv.URL, "REGCRED_TOKEN": "t"}[name]
		}}
		return p.Run(ctx, args), out.String(), errs.String()
	}
}

// TestInterruptedWait says that the operation goes on, and where to look.
func TestInterruptedWait(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	run := operationServer(t, func(_ http.ResponseWriter, r *http.Request) {
		interrupt()
		<-r.Context().Done()
	})
	code, out, errs := run(ctx, "registry", "status", "--deep")
	want := "It goes on in the server: 'regcred registry operations abc' shows it.\nregcred: interrupted\n"
	if code != 1 || out != "" || errs != want {
		t.Errorf("%d %q %q", code, out, errs)
	}
}

// TestWaitAcrossRestarts: an answer of a proxy whose server is away is no end of the wait;
// that the server has forgotten the operation is.
func TestWaitAcrossRestarts(t *testing.T) {
	for name, test := range map[string]struct {
		last any
		code int
		out  string
		errs string
	}{
		"there again": {
			client.RegistryOperation{ID: "abc", State: client.Done, Check: &client.RegistryCheck{}}, 0,
			"everything that the registry has is stored\n", "",
		},
		"forgotten": {
			client.ErrorBody{Errors: []client.ErrorItem{{Code: 10010, Detail: "there is no operation"}}}, 1,
			"", "regcred: there is no operation\n",
		},
		"failed": {
			client.RegistryOperation{ID: "abc", State: client.Failed, Error: &client.ErrorItem{Code: 390005, Detail: "the storage is away"}, Check: &client.RegistryCheck{}}, 1,
			"", "regcred: the storage is away\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // a second passes before it is asked again
			asked := 0
			run := operationServer(t, func(w http.ResponseWriter, _ *http.Request) {
				asked++
				if asked == 1 {
					w.WriteHeader(http.StatusBadGateway)
					return
				}
				if _, bad := test.last.(client.ErrorBody); bad {
					w.WriteHeader(http.StatusNotFound)
				}
				_ = json.NewEncoder(w).Encode(test.last)
			})
			if code, out, errs := run(t.Context(), "registry", "status"); code != test.code || out != test.out || errs != test.errs || asked != 2 {
				t.Errorf("%d %q %q, asked %d times", code, out, errs, asked)
			}
		})
	}
}
