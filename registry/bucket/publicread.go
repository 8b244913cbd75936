package bucket

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"regcred.dev"
)

// LetAnybodyRead has the bucket's policy let anybody read the objects whose keys begin
// with dir and a slash, below the prefix, and reports whether it did not before. What
// else the policy says stays. Somebody who changes the policy at the same moment may
// undo it: S3 has no conditions for policies.
// Errors: Unavailable, where AWS blocks public access too; Invalid where the policy
// cannot be understood.
func (s *Site) LetAnybodyRead(ctx context.Context, dir string) (bool, error) {
	out, err := s.b.client.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &s.b.o.Bucket})
	policy := ""
	switch {
	case err == nil:
		policy = aws.ToString(out.Policy)
	case errorCode(err) != "NoSuchBucketPolicy":
		return false, s.b.fail(ctx, "GetBucketPolicy", "", err)
	}
	policy, changed, err := addPublicRead(policy, objectsARN(s.b.o.Bucket, s.b.prefix()+dir))
	if err != nil {
		return false, regcred.Errorf(regcred.Invalid, "the policy of bucket %s cannot be added to: %w", s.b.o.Bucket, err)
	}
	if !changed {
		return false, nil
	}
	_, err = s.b.client.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &s.b.o.Bucket, Policy: &policy})
	if errorCode(err) == "AccessDenied" {
		return false, regcred.Errorf(regcred.Unavailable,
			"bucket %s%s: its policy may not be made to let anybody read: allow s3:PutBucketPolicy to the access key, and turn BlockPublicPolicy and RestrictPublicBuckets off for the bucket; or leave it private behind a CDN that has a login of its own",
			s.b.o.Bucket, s.b.at)
	}
	return err == nil, s.b.fail(ctx, "PutBucketPolicy", "", err)
}

// document is a policy of which only what is looked at is understood.
type document = map[string]json.RawMessage

// addPublicRead returns a policy, "" for none, in which anybody may read some objects,
// and whether that was not in it. There is one statement for all of them, found by its
// id, as ids are unique within a policy.
func addPublicRead(policy, resource string) (string, bool, error) {
	doc := document{"Version": json.RawMessage(`"2012-10-17"`)}
	if policy != "" {
		if err := json.Unmarshal([]byte(policy), &doc); err != nil {
			return "", false, err
		}
	}
	if doc == nil {
		return "", false, errors.New("it is null")
	}
	statements, err := list[document](doc["Statement"])
	if err != nil {
		return "", false, err
	}
	at := slices.IndexFunc(statements, isPublicRead)
	if at < 0 {
		at = len(statements)
		statements = append(statements, document{
			"Sid": raw(publicReadID), "Effect": raw("Allow"), "Principal": raw("*"), "Action": raw([]string{"s3:GetObject"}),
		})
	}
	resources, err := list[string](statements[at]["Resource"])
	if err != nil {
		return "", false, err
	}
	if slices.Contains(resources, resource) {
		return policy, false, nil
	}
	statements[at]["Resource"] = raw(append(resources, resource))
	doc["Statement"] = raw(statements)
	return string(raw(doc)), true, nil
}

// isPublicRead reports whether a statement is ours and still says what it is for.
func isPublicRead(s document) bool {
	principal := string(s["Principal"])
	actions, err := list[string](s["Action"])
	return err == nil && string(s["Sid"]) == string(raw(publicReadID)) && string(s["Effect"]) == `"Allow"` &&
		(principal == `"*"` || strings.ReplaceAll(principal, " ", "") == `{"AWS":"*"}`) &&
		slices.Equal(actions, []string{"s3:GetObject"}) && s["Condition"] == nil
}

// list decodes one value or a list of them: a policy may have either.
func list[T any](data json.RawMessage) ([]T, error) {
	if len(data) == 0 {
		return nil, nil
	}
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		var values []T
		err := json.Unmarshal(data, &values)
		return values, err
	}
	var one T
	if err := json.Unmarshal(data, &one); err != nil {
		return nil, err
	}
	return []T{one}, nil
}

func raw(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings alone cannot fail
	}
	return data
}
