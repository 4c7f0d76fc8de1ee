"""The command line `keras-isd`: a module for each subcommand, with `add_arguments` and `run`.

Arguments are parsed before Keras is imported: until then `import keras_isd`, at the top of each
module, gives the package without its contents (see `keras_isd_start`).
"""
