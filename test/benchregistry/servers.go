package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"regcred.dev"
	"regcred.dev/regcredtest/s3test"
)

// store is where a registry keeps its content: a directory of its own, or a bucket.
type store struct {
	s3     *s3test.Server
	bucket string
}

// server is a registry that runs.
type server struct {
	*process
	dir   string         // its own, for all that it keeps
	token regcred.Secret // for pushes; none where nobody needs one
}

func (s *server) url() string { return "http://" + s.addr }

// secretName is the environment variable by which regcred gets the bucket's key.
const secretName = "BENCH_SECRET_KEY"

// startRegcred starts a regcred that has nothing yet, and lets everybody pull.
func (b *bench) startRegcred(ctx context.Context, in store) (*server, error) {
	dir, err := os.MkdirTemp(b.dir, "regcred-")
	if err != nil {
		return nil, err
	}
	addr, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf(`data_dir: %s
listen: %s
registry:
  repositories:
  - {match: "*", public: true}
`, dir, addr)
	var env []string
	if in.s3 != nil {
		text += fmt.Sprintf(`  storage:
    s3: {bucket: %s, endpoint: %s, region: %s, path_style: true, access_key_id: %s, secret_access_key: "env:%s"}
  redirect: {enabled: true}
`, in.bucket, in.s3.Endpoint, in.s3.Region, in.s3.AccessKey, secretName)
		env = append(env, secretName+"="+in.s3.SecretKey)
	}
	config, err := b.configFile("regcred.yaml", text)
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, addr, "/readyz", env, b.regcred, "serve", "--config", config)
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(filepath.Join(dir, "admin.token"))
	if err != nil {
		p.kill()
		return nil, err
	}
	return &server{p, dir, regcred.NewSecret(strings.TrimSpace(string(token)))}, nil
}

// startDistribution starts a distribution that has nothing yet, and that logs no
// requests. Its cache, which it has only where it is configured, is in memory.
func (b *bench) startDistribution(ctx context.Context, in store, cached bool) (*server, error) {
	addr, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "distribution-")
	if err != nil {
		return nil, err
	}
	driver := "filesystem: {rootdirectory: " + dir + "}"
	if in.s3 != nil {
		driver = fmt.Sprintf("s3: {bucket: %s, region: %s, regionendpoint: %s, forcepathstyle: true, secure: false, v4auth: true, rootdirectory: /distribution, accesskey: %s, secretkey: %s}",
			in.bucket, in.s3.Region, in.s3.Endpoint, in.s3.AccessKey, in.s3.SecretKey)
	}
	if cached {
		driver += "\n  cache: {blobdescriptor: inmemory}"
	}
	config, err := b.configFile("distribution.yaml", fmt.Sprintf(`version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  %s
http: {addr: %s}
`, driver, addr))
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, addr, "/v2/", nil, b.distribution, "serve", config)
	if err != nil {
		return nil, err
	}
	return &server{process: p, dir: dir}, nil
}

// startNginx starts an nginx that serves a directory.
func (b *bench) startNginx(ctx context.Context, root string) (*process, error) {
	addr, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "nginx-")
	if err != nil {
		return nil, err
	}
	var temp strings.Builder
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temp, "  %s_temp_path %s/%s;\n", name, dir, name)
	}
	// One worker for each core, files sent by the kernel, connections kept.
	config, err := b.configFile("nginx.conf", fmt.Sprintf(`%sworker_processes auto;
daemon off;
pid %s/pid;
error_log %s/error.log;
events { worker_connections 1024; }
http {
%s  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  server { listen %s; root %s; }
}
`, userLine(), dir, dir, temp.String(), addr, root))
	if err != nil {
		return nil, err
	}
	return start(ctx, addr, "/", nil, "nginx", "-c", config, "-e", filepath.Join(dir, "error.log"))
}

// userLine has the workers of an nginx that root starts read what root wrote.
func userLine() string {
	if os.Getuid() == 0 {
		return "user root;\n"
	}
	return ""
}

// configFile writes a configuration that holds keys, and returns its name.
func (b *bench) configFile(name, text string) (string, error) {
	f, err := os.CreateTemp(b.dir, "*-"+name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		return "", err
	}
	return f.Name(), nil
}
