"""The formats that labelled images come in; each is read as a stream of candidates, within bounds."""
