package cli

import (
	"cmp"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"regcred.dev"
	"regcred.dev/registry/bucket"
)

// s3Flags say how a bucket is reached. Logins come from the environment and the files
// of AWS's own tools, never from flags.
type s3Flags struct {
	endpoint, region, ca string
	pathStyle            bool
}

func (f *s3Flags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.endpoint, "s3-endpoint", "", "URL of the S3 server (default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or AWS itself)")
	flags.StringVar(&f.region, "s3-region", "", "region of the bucket (default: as AWS's own tools have it, such as AWS_REGION)")
	flags.StringVar(&f.ca, "s3-ca", "", "PEM file of certificates to trust besides the system's (default: AWS_CA_BUNDLE)")
	flags.BoolVar(&f.pathStyle, "s3-path-style", false, "have the bucket's name in the path of URLs, as many servers other than AWS want it (default: REGCRED_S3_PATH_STYLE)")
}

// given reports whether any flag is.
func (f *s3Flags) given() bool { return *f != s3Flags{} }

// options returns those of a bucket.
func (f *s3Flags) options(getenv func(string) string, name, prefix string) (bucket.Options, error) {
	o := bucket.Options{
		Bucket: name, Prefix: prefix, Region: f.region, PathStyle: f.pathStyle,
		Endpoint: cmp.Or(f.endpoint, getenv("AWS_ENDPOINT_URL_S3"), getenv("AWS_ENDPOINT_URL")),
	}
	if style := getenv("REGCRED_S3_PATH_STYLE"); style != "" && !f.pathStyle {
		var err error
		if o.PathStyle, err = strconv.ParseBool(style); err != nil {
			return o, usagef("REGCRED_S3_PATH_STYLE: write true or false")
		}
	}
	if file := cmp.Or(f.ca, getenv("AWS_CA_BUNDLE")); file != "" {
		var err error
		if o.CA, err = os.ReadFile(file); err != nil {
			return o, regcred.Errorf(regcred.Invalid, "the certificates to trust for S3: %w", err)
		}
	}
	return o, nil
}

// splitBucket reads what follows s3://.
func splitBucket(rest string) (name, prefix string, err error) {
	name, prefix, _ = strings.Cut(rest, "/")
	if name == "" || strings.ContainsAny(rest, "?#@") {
		return "", "", usagef("--to: write s3://BUCKET[/PREFIX], and nothing of a login: that comes from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS's files")
	}
	return name, strings.Trim(prefix, "/"), nil
}
