package bucket

import "encoding/json"

// policy is a policy document of AWS (version 2012-10-17).
type policy struct {
	Version   string      `json:"Version"`
	Statement []statement `json:"Statement"`
}

type statement struct {
	Sid       string   `json:"Sid"`
	Effect    string   `json:"Effect"`
	Principal string   `json:"Principal,omitempty"`
	Action    []string `json:"Action"`
	Resource  string   `json:"Resource"`
}

// publicReadID is the id of the statement by which anybody may read.
const publicReadID = "RegcredPublicRead"

// PublicReadPolicy returns the bucket policy, as indented JSON, with which anybody may
// read the objects below a prefix, or all where that is "": what serving a registry
// from a bucket alone needs. It lists nothing and lets nobody write.
func PublicReadPolicy(bucket, prefix string) string {
	return encode(statement{
		Sid: publicReadID, Effect: "Allow", Principal: "*",
		Action: []string{"s3:GetObject"}, Resource: objectsARN(bucket, prefix),
	})
}

// AccessPolicy returns the IAM policy, as indented JSON, of who keeps a registry in a
// bucket below a prefix, or in all of it where that is "".
func AccessPolicy(bucket, prefix string) string {
	return encode(
		statement{
			Sid: "RegcredBucket", Effect: "Allow",
			Action: []string{"s3:ListBucket", "s3:ListBucketMultipartUploads"}, Resource: "arn:aws:s3:::" + bucket,
		},
		statement{
			Sid: "RegcredObjects", Effect: "Allow",
			Action: []string{
				"s3:GetObject", "s3:PutObject", "s3:DeleteObject",
				"s3:AbortMultipartUpload", "s3:ListMultipartUploadParts",
			},
			Resource: objectsARN(bucket, prefix),
		},
	)
}

func objectsARN(bucket, prefix string) string {
	if prefix != "" {
		prefix += "/"
	}
	return "arn:aws:s3:::" + bucket + "/" + prefix + "*"
}

func encode(statements ...statement) string {
	data, err := json.MarshalIndent(policy{"2012-10-17", statements}, "", "  ")
	if err != nil {
		panic(err) // strings alone cannot fail
	}
	return string(data) + "\n"
}
