package bucket

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"regcred.dev"
)

// errGone says that an upload in parts is no more.
var errGone = errors.New("there is no such upload")

// resume goes on with the last upload of the same key that an earlier call left, and
// reports whether there is one. Its parts count by their number and CRC-32C.
//
// Two calls that are at work at the same time may find each other's upload: they
// have the same content, send the same parts, and one of them completes it.
func (m *multipart) resume(ctx context.Context) (bool, error) {
	var last types.MultipartUpload
	for upload, err := range m.b.multiparts(ctx, m.path) {
		if err != nil {
			// Not allowed, perhaps: then nothing is spared.
			m.b.o.Log.Debug("earlier uploads of an object are not known", "key", m.path, "err", err)
			return false, ctx.Err()
		}
		if aws.ToString(upload.Key) == m.path && (last.UploadId == nil || aws.ToTime(last.Initiated).Before(aws.ToTime(upload.Initiated))) {
			last = upload
		}
	}
	if last.UploadId == nil {
		return false, nil
	}
	if err := m.readParts(ctx, last.UploadId); err != nil {
		clear(m.sent)
		return false, ctx.Err()
	}
	m.id = *last.UploadId
	return true, nil
}

// readParts notes which parts of an upload the server has.
func (m *multipart) readParts(ctx context.Context, id *string) error {
	parts := s3.NewListPartsPaginator(m.b.client, &s3.ListPartsInput{Bucket: &m.b.o.Bucket, Key: &m.path, UploadId: id})
	for parts.HasMorePages() {
		page, err := parts.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, part := range page.Parts {
			m.sent[aws.ToInt32(part.PartNumber)] = types.CompletedPart{
				PartNumber: part.PartNumber, ETag: part.ETag, ChecksumCRC32C: part.ChecksumCRC32C,
			}
		}
	}
	return nil
}

// gone says what became of an upload that is no more: its completion's answer was
// lost, or another call completed or aborted it. Completing may take a moment.
func (m *multipart) gone(ctx context.Context) error {
	for attempt := range attempts {
		there, err := m.b.wroteLast(ctx, m.path, m.write)
		if there || err != nil {
			return err
		}
		if err := m.b.wait(ctx, attempt+1); err != nil {
			return err
		}
	}
	return regcred.Errorf(regcred.Unavailable, "the upload of %s was aborted by somebody else: begin again", m.path)
}
