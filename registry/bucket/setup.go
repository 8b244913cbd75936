package bucket

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"regcred.dev"
)

// Status is what Setup found out about one thing.
type Status string

// The statuses.
const (
	OK        Status = "ok"
	Missing   Status = "missing"   // the registry needs it
	Advisable Status = "advisable" // the registry goes without it, less well
	Unchecked Status = "unchecked" // something that the check needs is missing
)

// Check is one thing that a registry does with its bucket.
type Check struct {
	Name string `json:"name"`
	// Action is what IAM has to allow for it, "" where it is a matter of the server.
	Action string `json:"action,omitempty"`
	Status Status `json:"status"`
	// Problem says what is wrong and what to do, "" where nothing is.
	Problem string `json:"problem,omitempty"`
}

// Report is what Setup found and did.
type Report struct {
	Bucket   string `json:"bucket"`
	Endpoint string `json:"endpoint,omitempty"`
	Region   string `json:"region"`
	// Created says that the bucket was not there before.
	Created bool    `json:"created"`
	Checks  []Check `json:"checks"`
	// Hints say what to look at besides.
	Hints []string `json:"hints,omitempty"`
}

// OK reports whether a registry can use the bucket.
func (r Report) OK() bool {
	return !slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Status == Missing || c.Status == Unchecked })
}

// Setup makes a bucket where there is none and create is true, and then tries one by
// one what a registry does with it, by an object of its own that it removes. What is
// missing is in the report.
// Errors: Invalid for options; that of ctx where it ends.
func Setup(ctx context.Context, o Options, create bool) (Report, error) {
	b, err := newBucket(ctx, o)
	if err != nil {
		return Report{}, err
	}
	s := &setup{b: b, key: b.prefix() + markerKey + "-setup", report: Report{
		Bucket: b.o.Bucket, Endpoint: b.o.Endpoint, Region: b.client.Options().Region,
	}}
	s.run(ctx, create)
	return s.report, ctx.Err()
}

type setup struct {
	b      *Bucket
	key    string // of the object that it tries things on
	report Report
}

func (s *setup) run(ctx context.Context, create bool) {
	if !s.check("bucket", "s3:ListBucket", s.bucket(ctx, create)) {
		return
	}
	s.check("list", "s3:ListBucket", s.list(ctx))
	stored := s.check("write", "s3:PutObject", s.write(ctx))
	s.writes(ctx, stored)
	s.reads(ctx, stored)
	s.checksums(ctx, stored)
	s.multiparts(ctx, stored)
	if stored {
		s.check("delete", "s3:DeleteObject", s.b.remove(ctx, s.key, ""))
	} else {
		s.note(Check{Name: "delete", Action: "s3:DeleteObject", Status: Unchecked})
	}
	s.hints(ctx)
}

// check notes what came out of a check, and reports whether all is well.
func (s *setup) check(name, action string, err error) bool {
	c := Check{Name: name, Action: action, Status: OK}
	if err != nil {
		c.Status, c.Problem = Missing, err.Error()
	}
	s.note(c)
	return err == nil
}

func (s *setup) note(c Check) { s.report.Checks = append(s.report.Checks, c) }

// bucket looks for the bucket, and makes it.
func (s *setup) bucket(ctx context.Context, create bool) error {
	_, err := s.b.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.b.o.Bucket})
	switch {
	case err == nil:
		return nil
	case !absent(err) && errorCode(err) != "NoSuchBucket":
		return s.b.fail(ctx, "HeadBucket", "", err)
	case !create:
		return regcred.Errorf(regcred.NotFound, "bucket %s%s does not exist: have it created, or correct its name", s.b.o.Bucket, s.b.at)
	}
	in := &s3.CreateBucketInput{Bucket: &s.b.o.Bucket}
	if s.report.Region != "us-east-1" { // which the API does not take for a region
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{
			LocationConstraint: types.BucketLocationConstraint(s.report.Region),
		}
	}
	_, err = s.b.client.CreateBucket(ctx, in)
	if code := errorCode(err); code == "BucketAlreadyExists" {
		return regcred.Errorf(regcred.Exists, "bucket %s%s belongs to somebody else: choose another name", s.b.o.Bucket, s.b.at)
	} else if code == "BucketAlreadyOwnedByYou" {
		return nil
	}
	s.report.Created = err == nil
	return s.b.fail(ctx, "CreateBucket", "", err)
}

func (s *setup) list(ctx context.Context) error {
	_, err := s.b.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket: &s.b.o.Bucket, Prefix: aws.String(s.b.prefix()), MaxKeys: aws.Int32(1),
	})
	return s.b.fail(ctx, "ListObjectsV2", s.b.prefix(), err)
}

// hints tells what stands in the way of a bucket that serves a registry by itself.
func (s *setup) hints(ctx context.Context) {
	out, err := s.b.client.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: &s.b.o.Bucket})
	if err != nil || out.PublicAccessBlockConfiguration == nil {
		return // not there, or not to be seen: no obstacle that is known
	}
	block := out.PublicAccessBlockConfiguration
	if aws.ToBool(block.BlockPublicPolicy) || aws.ToBool(block.RestrictPublicBuckets) {
		s.report.Hints = append(s.report.Hints,
			"Block Public Access is on, as it should be for a registry that regcred serves; a static registry needs BlockPublicPolicy and RestrictPublicBuckets off, or a CDN that reads the bucket with a login of its own")
	}
}
