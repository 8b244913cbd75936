// Package bucket keeps the registry's objects in a bucket of S3, or of anything that
// speaks its protocol and knows conditional writes.
package bucket
