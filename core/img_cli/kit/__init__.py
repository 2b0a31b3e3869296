"""The files of a new plugin package (`img plugin new`): ``@words@`` stand for what it is called."""
