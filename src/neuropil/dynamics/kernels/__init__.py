"""From a cell's equation to machines: traced once, simplified, written as a kernel for the processor at hand."""
