/* Keeps the code objects of tracebacks, for the C that mypyc makes.
 *
 * For each function that an error passes, mypyc's CPy_AddTraceback makes a code object of a file, a
 * function and a line, by PyCode_NewEmpty. That is more than half of what an error costs there. The
 * three are constants of the place in the C, so its code object can be used again.
 */
#pragma once
#include <Python.h>

static PyCodeObject *code_of_place(const char *file, const char *function, int line) {
    static struct {
        const char *file, *function;
        int line;
        PyCodeObject *code;
    } kept[1024]; /* a place replaces another one that has the same index */
    size_t at = ((size_t)function / 8 + (size_t)line) % 1024;
    PyCodeObject *code = kept[at].code;
    if (code == NULL || kept[at].line != line || kept[at].function != function ||
        kept[at].file != file) {
        PyCodeObject *made = PyCode_NewEmpty(file, function, line);
        if (made == NULL) {
            return NULL;
        }
        kept[at].file = file;
        kept[at].function = function;
        kept[at].line = line;
        kept[at].code = made;
        Py_XDECREF(code);
        code = made;
    }
    return (PyCodeObject *)Py_NewRef((PyObject *)code);
}

#define PyCode_NewEmpty code_of_place
