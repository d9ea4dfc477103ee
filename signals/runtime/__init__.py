"""How models run: tokens into windows, windows into packs, packs onto threads or a GPU. Knows nothing of signals."""
