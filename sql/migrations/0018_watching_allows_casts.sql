-- jobhooks.watch has a further parameter. Beside its former self, calls without it would be ambiguous.
-- squawk-ignore ban-drop-function
drop function if exists jobhooks.watch(regclass, text [], boolean, boolean, text [], text []);
