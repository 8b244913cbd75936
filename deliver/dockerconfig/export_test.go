package dockerconfig

// Edit deletes keys from "auths" of a docker config file, sets others, and returns
// the file. values are JSON.
func Edit(src []byte, values map[string]string, keys []string) ([]byte, error) {
	d, err := parseDocument(src)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if value, ok := values[key]; ok {
			d.setEntry(key, []byte(value))
		} else {
			d.deleteEntry(key)
		}
	}
	return d.text(), nil
}
