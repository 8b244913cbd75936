module regcred.dev/test/clients

go 1.26.0

replace regcred.dev => ../..

require (
	github.com/distribution/reference v0.6.0
	github.com/docker/cli v29.9.0+incompatible
	github.com/google/go-containerregistry v0.22.1
	github.com/sirupsen/logrus v1.10.2
	go.podman.io/image/v5 v5.42.0
	pgregory.net/rapid v1.3.0
	regcred.dev v0.0.0-00010101000000-000000000000
)

require (
	github.com/BurntSushi/toml v1.6.0 // indirect
	github.com/docker/docker-credential-helpers v0.9.10 // indirect
	github.com/docker/go-units v0.5.0 // indirect
	github.com/moby/sys/capability v0.4.0 // indirect
	github.com/moby/sys/mountinfo v0.7.2 // indirect
	github.com/moby/sys/user v0.4.1 // indirect
	github.com/opencontainers/go-digest v1.0.0 // indirect
	github.com/opencontainers/image-spec v1.1.1 // indirect
	github.com/opencontainers/runtime-spec v1.3.0 // indirect
	go.podman.io/storage v1.65.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
