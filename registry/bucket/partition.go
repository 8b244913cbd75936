package bucket

import "regcred.dev"

// partition returns the size of the parts of an object, in bytes: the wanted one, or
// as much more, in whole MiB, as keeps them at 10,000. Errors: TooLarge.
func partition(size, want int64) (int64, error) {
	if size > maxObject {
		return 0, regcred.Errorf(regcred.TooLarge, "an object of %d bytes is larger than S3 takes (%d)", size, int64(maxObject))
	}
	const mib = 1 << 20
	least := (size + maxParts - 1) / maxParts
	if least <= want {
		return want, nil
	}
	return (least + mib - 1) / mib * mib, nil
}
