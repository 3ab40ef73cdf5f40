"""Scoring as one writes it by hand: pyarrow's batches, a thread pool, onnxruntime. Arguments: model, data, output."""

import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq

THREADS, ROWS, BATCH = 2, 65536, 4096

model, data, output = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(model, options)


def score(batch: pa.RecordBatch) -> pa.Table:
    x = np.stack([column.to_numpy() for column in batch.columns], axis=1)
    probs = np.concatenate([session.run(None, {"x": x[i : i + BATCH]})[0] for i in range(0, len(x), BATCH)])
    return pa.table({f"probs_{i}": probs[:, i] for i in range(probs.shape[1])})


schema = pa.schema([(f"probs_{i}", pa.float32()) for i in range(3)])
with ThreadPoolExecutor(THREADS) as pool, pq.ParquetWriter(output, schema) as writer:
    waiting: deque = deque()
    for batch in pq.ParquetFile(data, pre_buffer=False).iter_batches(ROWS):
        waiting.append(pool.submit(score, batch))
        if len(waiting) == 2 * THREADS:
            writer.write_table(waiting.popleft().result())
    for left in waiting:
        writer.write_table(left.result())
