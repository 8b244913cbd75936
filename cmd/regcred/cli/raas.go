package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"regcred.dev"
	"regcred.dev/registry/bucket"
	"regcred.dev/registry/raas"
)

type raasFlags struct {
	s3                s3Flags
	mask              []string
	baseURL, spoolDir string
	private           bool
	out               outputFlag
}

// raasResult is the result of `regcred raas` for programs.
type raasResult struct {
	Bucket   string `json:"bucket"`
	Prefix   string `json:"prefix"`
	Created  bool   `json:"created"` // the bucket
	Public   bool   `json:"public"`
	Uploaded int    `json:"uploaded"` // objects
	Skipped  int    `json:"skipped"`  // images
	Metadata string `json:"metadata"` // its key
}

func (p *Program) raasCommand() *cobra.Command {
	var f raasFlags
	cmd := &cobra.Command{
		Use:   "raas BUCKET APP ARCHIVE",
		Short: "Upload a Pulp v1 export to a bucket as Docker Registry as a Service did",
		Long: `Upload a Pulp v1 export to a bucket as Docker Registry as a Service did, for Crane to
redirect to: APP/ID/layer, json and ancestry of each image, and last APP.json, the
metadata that Crane reads. ARCHIVE is the export's tar, its URL, or - for standard
input. A "/" in APP is "-" in the bucket. What is there already is replaced.

The bucket is made where it is missing. Objects are not made public one by one:
servers of today ignore ACLs, and AWS has them off in new buckets. Instead the
bucket's policy is added to, so that anybody may read what is below APP/. With
--private it is left alone. The login is that of AWS's own tools: AWS_ACCESS_KEY_ID
and AWS_SECRET_ACCESS_KEY, or ~/.aws/credentials.

For clients of today, which do not speak the v1 protocol, there is 'regcred publish'.`,
		Example: `  regcred raas acme.bucket acme-app path/to/myapp.tar
  regcred raas acme.bucket acme/app https://pulp.example.com/exports/app.tar --mask base-ids.txt`,
		Args: wantArgs(cobra.ExactArgs(3)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.raas(cmd.Context(), args[0], args[1], args[2], f)
		},
	}
	addMask(cmd, &f.mask, "they are skipped, as somebody else hosts them")
	cmd.Flags().StringVar(&f.baseURL, "base-url", "", "URL of the bucket as clients of Crane reach it (default: where the export says they go)")
	cmd.Flags().BoolVar(&f.private, "private", false, "leave the bucket's policy alone")
	cmd.Flags().StringVar(&f.spoolDir, "spool-dir", "", "where archives from a URL or standard input are kept meanwhile (default: the directory for temporary files)")
	f.s3.add(cmd)
	f.out.add(cmd)
	return cmd
}

func (p *Program) raas(ctx context.Context, name, app, path string, f raasFlags) (err error) {
	prefix, err := raas.Prefix(app)
	if err != nil {
		return &usageError{err}
	}
	o, err := f.s3.options(p.Getenv, name, "")
	if err != nil {
		return err
	}
	mask, err := readMasks(f.mask)
	if err != nil {
		return err
	}
	m := newMeter(p.Stderr)
	a, err := p.openArchive(ctx, path, f.spoolDir, m)
	m.end()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	export := a.Export()
	if export == nil {
		return regcred.Errorf(regcred.Invalid, "archive %s is of the kind %q, not a Pulp v1 export: publish it with 'regcred publish'", path, a.Format())
	}
	site, err := bucket.NewSite(ctx, o)
	if err != nil {
		return err
	}
	u := raasUpload{site: site, report: p.Stdout, result: raasResult{Bucket: name, Prefix: prefix, Public: !f.private}}
	if f.out != "" {
		u.report = p.Stderr
	}
	if err := u.prepare(ctx); err != nil {
		return err
	}
	r, err := raas.Publish(ctx, &u, name, app, export, raas.Options{Mask: mask, BaseURL: f.baseURL, Report: u.say})
	if err != nil {
		return err
	}
	u.result.Uploaded, u.result.Skipped, u.result.Metadata = r.Uploaded, r.Skipped, prefix+".json"
	return f.out.write(p.Stdout, u.result, func(io.Writer) {})
}

// raasUpload is one run of `regcred raas`.
type raasUpload struct {
	site   *bucket.Site
	report io.Writer
	result raasResult
}

func (u *raasUpload) say(line string) { fmt.Fprintln(printable{u.report}, line) }

// prepare makes the bucket and has what will be in it be public.
func (u *raasUpload) prepare(ctx context.Context) error {
	var err error
	if u.result.Created, err = u.site.CreateBucket(ctx); err != nil {
		return err
	}
	if u.result.Created {
		u.say("Created bucket " + u.result.Bucket)
	}
	if !u.result.Public {
		return nil
	}
	changed, err := u.site.LetAnybodyRead(ctx, u.result.Prefix)
	if changed {
		u.say(fmt.Sprintf("Anybody may now read %s/%s/, by the bucket's policy", u.result.Bucket, u.result.Prefix))
	}
	return err
}

// Put implements raas.Uploader. Content is read once for its digest and again to be
// sent: an upload that was broken off is then gone on with.
func (u *raasUpload) Put(ctx context.Context, key, contentType string, size int64, open func() (io.ReadCloser, error)) error {
	first, err := open()
	if err != nil {
		return err
	}
	d, err := digest.FromReader(first)
	if err := errors.Join(err, first.Close()); err != nil {
		return err
	}
	content, err := open()
	if err != nil {
		return err
	}
	defer content.Close()
	return u.site.Store(ctx, key, contentType, "", d, size, content)
}
