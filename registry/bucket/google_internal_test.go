package bucket

import (
	"net/http"
	"testing"
)

// TestGoogleToSign has values of Google's own conformance tests (storage/v1,
// v4_signatures.json: "Simple GET" and "Vary expiration and timestamp"). They are for
// RSA keys: with HMAC keys the name of the algorithm alone is another one.
func TestGoogleToSign(t *testing.T) {
	tests := []struct{ date, lifetime, want string }{
		{"20190201T090000Z", "10", "20190201/auto/storage/goog4_request\n00e2fb794ea93d7adb703edaebdd509821fcc7d4f1a79ac5c8d2b394df109320"},
		{"20190301T090000Z", "20", "20190301/auto/storage/goog4_request\n779f19fdb6fd381390e2d5af04947cf21750277ee3c20e0c97b7e46a1dff8907"},
	}
	for _, test := range tests {
		const algorithm = "GOOG4-RSA-SHA256"
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
			"https://storage.googleapis.com/test-bucket/test-object?X-Amz-Expires="+test.lifetime+"&x-id=GetObject", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		presignGoogle(r, algorithm, "test-iam-credentials@dummy-project-id.iam.gserviceaccount.com", test.date)
		got := googleToSign(algorithm, test.date, googleCanonical(r, []string{"host"}, unsigned))
		if want := algorithm + "\n" + test.date + "\n" + test.want; got != want {
			t.Errorf("to sign is %q, want %q", got, want)
		}
	}
}

func TestIsGoogle(t *testing.T) {
	for endpoint, want := range map[string]bool{
		"https://storage.googleapis.com":                  true,
		"https://images.storage.googleapis.com":           true,
		"https://storage.europe-west3.rep.googleapis.com": true,
		"https://googleapis.com.example.com":              false,
		"https://evilgoogleapis.com":                      false,
		"":                                                false,
	} {
		if got := isGoogle(endpoint); got != want {
			t.Errorf("%q: %t", endpoint, got)
		}
	}
}

// TestGoogleCopy has copies within the server be asked for in Google's words.
func TestGoogleCopy(t *testing.T) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://storage.googleapis.com/b/k", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Copy-Source", "b/from")
	r.Header.Set("X-Amz-Date", "20260101T000000Z")
	toGoogle(r)
	if len(r.Header) != 1 || r.Header.Get("X-Goog-Copy-Source") != "b/from" {
		t.Errorf("headers %v", r.Header)
	}
}
