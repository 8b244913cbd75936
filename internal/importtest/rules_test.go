package importtest

// A rule says what packages may import besides the standard library.
//
// Packages are named by their path in the module, the root as "regcred". In a
// pattern, "*" is one path segment and a final "/..." is any number of them,
// none included. A package follows the first rule that names it.
type rule struct {
	packages string // a name, or a pattern: which alone may match no package yet
	imports  string // packages and patterns, separated by spaces
	// libraries are the other modules' packages: import paths, each of which
	// stands for what lies below it too, or "any".
	libraries string
	// tests are packages that its tests may import too, besides inTests.
	tests string
}

// inTests lists what every test may import beside what its package may, with any
// library and what lies below its package: the contracts, their suites, and the
// store that needs no disk.
const inTests = "regcred imageref regcredtest/... store/memory"

// rules are the table. The language comes first, then the rooms in the order in
// which a login travels, then what users touch.
var rules = []rule{
	{packages: "imageref", libraries: "github.com/distribution/reference golang.org/x/net/publicsuffix"},
	{packages: "regcred", imports: "imageref"},
	{packages: "regcredtest", imports: "regcred imageref keyring deliver registry",
		libraries: "github.com/google/go-cmp pgregory.net/rapid"},
	{packages: "regcredtest/internal/..."},
	{packages: "regcredtest/kubetest", imports: "regcredtest/internal/program", libraries: "any"},
	{packages: "regcredtest/s3test/...", imports: "regcredtest/internal/program", libraries: "any"},
	{packages: "regcredtest/terminal", libraries: "golang.org/x/sys/unix"},
	{packages: "regcredtest/fakefoundation", imports: "regcredtest/fakeuaa regcredtest/fakecapi"},
	{packages: "regcredtest/*", imports: "regcredtest/internal/...", libraries: "github.com/go-jose/go-jose/v4"},

	{packages: "seal", imports: "regcred"},
	{packages: "store/internal/...", imports: "regcred imageref", libraries: "github.com/google/uuid"},
	{packages: "store/*", imports: "regcred imageref seal store/internal/...", libraries: "any",
		tests: "keyring refresh provider/static"},

	{packages: "token", imports: "regcred",
		libraries: "github.com/distribution/reference github.com/go-jose/go-jose/v4"},
	{packages: "audit", imports: "regcred", tests: "seal store/sqlite"},
	{packages: "internal/jwks", imports: "regcred internal/web", libraries: "github.com/go-jose/go-jose/v4"},
	{packages: "clustertoken", imports: "regcred internal/jwks internal/web", libraries: "github.com/go-jose/go-jose/v4"},
	{packages: "clustertoken/review", imports: "regcred clustertoken", libraries: "k8s.io"},
	{packages: "internal/web", imports: "regcred"},
	{packages: "internal/tlsfiles", imports: "regcred"},
	{packages: "internal/stall"},
	{packages: "internal/gcpace"},
	{packages: "internal/flock", libraries: "golang.org/x/sys/unix"},
	{packages: "internal/prompt", libraries: "golang.org/x/term"},
	{packages: "provider/regcred", imports: "regcred imageref token"},
	{packages: "provider/internal/...", imports: "regcred imageref internal/web provider/internal/...", libraries: "any"},
	{packages: "provider/*", imports: "regcred imageref internal/web provider/internal/...", libraries: "any",
		tests: "regcredtest/... refresh"},
	{packages: "probe/...", imports: "regcred imageref internal/web"},
	{packages: "refresh", imports: "regcred imageref", libraries: "golang.org/x/time/rate", tests: "provider/static"},

	{packages: "keyring", imports: "regcred imageref"},
	{packages: "catalog", imports: "regcred"},
	{packages: "deliver", imports: "regcred imageref keyring"},
	{packages: "deliver/rancher", imports: "regcred imageref keyring deliver internal/web"},
	{packages: "deliver/*", imports: "regcred imageref keyring deliver", libraries: "any"},

	{packages: "registry", imports: "regcred imageref token registry/dockerv1", libraries: "any",
		tests: "registry/..."},
	{packages: "registry/blob", imports: "regcred internal/flock registry", libraries: "any"},
	{packages: "registry/bucket/...", imports: "regcred registry", libraries: "any", tests: "registry/blob"},
	{packages: "registry/static/...", imports: "regcred internal/flock registry", libraries: "any",
		tests: "registry/archive registry/archive/archivetest registry/bucket registry/publish"},
	{packages: "registry/crane/...", imports: "regcred registry registry/dockerv1", libraries: "any",
		tests: "registry/blob token"},
	{packages: "registry/dockerv1", imports: "regcred", libraries: "any"},
	{packages: "registry/archive", imports: "regcred internal/web registry/dockerv1", libraries: "any"},
	{packages: "registry/archive/archivetest", libraries: "any"},
	{packages: "registry/raas", imports: "regcred registry/archive", tests: "registry/archive/archivetest"},
	{packages: "registry/publish", imports: "regcred registry/archive registry/dockerv1", libraries: "any",
		tests: "registry registry/archive/archivetest registry/blob token"},

	{packages: "cloudfoundry", imports: "regcred internal/jwks internal/web", libraries: "github.com/go-jose/go-jose/v4"},
	{packages: "cloudfoundry/...", imports: "regcred imageref keyring deliver cloudfoundry", libraries: "any"},
	{packages: "oidctoken", imports: "regcred internal/jwks internal/web", libraries: "github.com/go-jose/go-jose/v4"},

	{packages: "service", imports: "regcred audit imageref keyring catalog refresh token deliver probe registry registry/crane",
		libraries: "github.com/google/uuid github.com/opencontainers/go-digest", tests: "provider/... cloudfoundry registry/blob"},
	{packages: "client", imports: "regcred"},
	{packages: "api", imports: "regcred imageref keyring catalog deliver registry service client",
		libraries: "github.com/opencontainers/go-digest",
		tests:     "provider/static refresh registry/blob token"},
	{packages: "config", imports: "regcred imageref keyring registry token oidctoken", libraries: "go.yaml.in/yaml/v3"},

	{packages: "cmd/...", imports: "regcred/...", libraries: "any"},
	{packages: "internal/importtest"},
	{packages: "test/...", imports: "regcred/...", libraries: "any"},
}

// A home says where alone a library may be imported, tests apart.
type home struct {
	library  string
	packages string
}

var homes = []home{
	{library: "modernc.org/sqlite", packages: "store/sqlite"},
	{library: "github.com/pressly/goose", packages: "store/sqlite store/postgres"},
	{library: "github.com/spf13/cobra", packages: "cmd/..."},
	{library: "cuelabs.dev/go/oci/ociregistry", packages: "registry/... cmd/... test/..."},
	{library: "github.com/google/go-containerregistry", packages: "cmd/regcred/demo test/..."},
	{library: "k8s.io", packages: "deliver/kubernetes clustertoken/review regcredtest/kubetest cmd/... test/..."},
	{library: "sigs.k8s.io", packages: "deliver/kubernetes cmd/regcred/... test/..."},
}

// A distance says what a program may not be linked with, through any package.
type distance struct {
	packages string
	from     string // import paths, each with what lies below it
}

var distances = []distance{
	// The two small binaries stay small: of Kubernetes they may know the types of
	// the kubelet's plugin protocol alone.
	{packages: "cmd/docker-credential-regcred/...",
		from: "k8s.io/client-go k8s.io/api sigs.k8s.io regcred.dev/deliver"},
	{packages: "cmd/cf-regcred/...",
		from: "k8s.io sigs.k8s.io regcred.dev/deliver regcred.dev/store"},
	// A quarter of the server's memory would be types of Kubernetes that it never sees.
	{packages: "cmd/regcred/...", from: "k8s.io/client-go/kubernetes k8s.io/client-go/informers k8s.io/client-go/applyconfigurations"},
}
