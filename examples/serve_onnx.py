"""Serve a model by HTTP from an ONNX file, without TensorFlow or this package.

Fits two tasks on Census-Income (where the data is not at hand, on generated data, and
says so), exports the whole way from raw columns to probabilities, starts a server in a
process of its own that imports nothing but ONNX Runtime and NumPy, compares what it
answers with ``predict_proba``, and prints rows a second.

    python examples/serve_onnx.py            # fit, export, serve, measure
    python examples/serve_onnx.py FILE.onnx  # serve a file, until Ctrl-C
"""

from __future__ import annotations

import http.client
import http.server
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

N_TRAIN, N_SERVED = 20_000, 10_000


class Model:
    """An ONNX file, from rows as JSON has them to predictions as JSON has them."""

    def __init__(self, path: str | Path) -> None:
        self.session = onnxruntime.InferenceSession(
            str(path), providers=["CPUExecutionProvider"]
        )
        self.inputs = {one.name: one.type for one in self.session.get_inputs()}
        self.outputs = [one.name for one in self.session.get_outputs()]
        meta = self.session.get_modelmeta().custom_metadata_map
        self.tasks = json.loads(meta["tasks"])

    def arrays(self, columns: dict[str, list]) -> dict[str, np.ndarray]:
        """Turn columns into inputs; None is a missing value in each of them."""
        kinds = {"tensor(string)": object, "tensor(double)": np.float64}
        return {
            name: np.array(columns[name], dtype=kinds[kind])[:, None]
            for name, kind in self.inputs.items()
        }

    def predict(self, columns: dict[str, list]) -> dict[str, list]:
        """Return the probabilities or values of each task."""
        results = self.session.run(None, self.arrays(columns))
        return {
            name: result.tolist()
            for name, result in zip(self.outputs, results, strict=True)
        }


def serve(path: str) -> None:
    """Answer POST requests with columns in JSON, on a free port of this machine."""
    model = Model(path)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # a client keeps its connection
        disable_nagle_algorithm = True  # head and body go out at once

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                status, answer = 200, model.predict(json.loads(body))
            except Exception as error:  # a server tells its clients, and stays up
                status, answer = 400, {"error": str(error)}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    heavy = {"tensorflow", "keras", "sklearn", "sklearn_mmoe", "pandas"}
    assert not heavy & set(sys.modules)
    print(server.server_port, flush=True)
    server.serve_forever()


def load():
    """Load the census data, or generate some in its place."""
    from sklearn_mmoe.datasets import fetch_census_income, make_related_tasks

    try:
        X, y = fetch_census_income("test", return_X_y=True, download_if_missing=False)
        print("Census-Income, the test half.")
    except OSError:
        X, y = make_related_tasks(
            n_samples=N_TRAIN + N_SERVED,
            n_features=20,
            n_categorical=10,
            kind="classification",
            random_state=0,
        )
        print("GENERATED DATA: the census data is not at hand.")
    return X, y


def as_columns(X) -> dict[str, list]:
    """Return a frame as JSON takes it."""
    return X.astype(object).where(X.notna(), None).to_dict("list")


def ask(connection: http.client.HTTPConnection, columns: dict[str, list]) -> dict:
    """Send one request."""
    connection.request("POST", "/", json.dumps(columns))
    response = connection.getresponse()
    answer = json.loads(response.read())
    assert response.status == 200, answer
    return answer


def rows_a_second(send, X, batch: int) -> float:
    """Send a frame in batches, for about a second."""
    n_batches = min(len(X) // batch, 200)
    batches = [as_columns(X[k * batch : (k + 1) * batch]) for k in range(n_batches)]
    send(batches[0])
    start = time.perf_counter()
    n_rows = 0
    for columns in batches:
        send(columns)
        n_rows += batch
        if time.perf_counter() - start > 1:
            break
    return n_rows / (time.perf_counter() - start)


def main() -> None:
    """Fit, export, serve and measure."""
    from sklearn.pipeline import make_pipeline

    from sklearn_mmoe import MultiTaskMMoEClassifier
    from sklearn_mmoe.preprocessing import make_tabular_preprocessor

    X, y = load()
    X_served = X[N_TRAIN : N_TRAIN + N_SERVED]
    pipeline = make_pipeline(
        make_tabular_preprocessor(), MultiTaskMMoEClassifier(max_iter=4, random_state=0)
    )
    pipeline.fit(X[:N_TRAIN], y[:N_TRAIN])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        pipeline[-1].export_onnx(path, preprocessor=pipeline[:-1])
        model = Model(path)
        print(
            f"{path.stat().st_size / 2**20:.1f} MiB; {len(model.inputs)} columns in, "
            f"out: {[task['name'] for task in model.tasks]}"
        )
        server = subprocess.Popen(
            [sys.executable, __file__, str(path)], stdout=subprocess.PIPE, text=True
        )
        try:
            connection = http.client.HTTPConnection(
                "127.0.0.1", int(server.stdout.readline())
            )
            answer = ask(connection, as_columns(X_served))
            expected = pipeline.predict_proba(X_served)
            largest = max(
                np.abs(np.array(answer[name]) - of_task).max()
                for name, of_task in zip(model.outputs, expected, strict=True)
            )
            print(f"largest difference from predict_proba: {largest:.1e}")
            assert largest < 1e-5
            print("rows a second   in this process     by HTTP and JSON")
            for batch in (1, 100, 1000):
                here = rows_a_second(model.predict, X_served, batch)
                there = rows_a_second(lambda c: ask(connection, c), X_served, batch)
                print(f"batches of {batch:4}  {here:15,.0f}  {there:19,.0f}")
            connection.close()
        finally:
            server.terminate()
            server.wait()
            server.stdout.close()


if __name__ == "__main__":
    serve(sys.argv[1]) if len(sys.argv) > 1 else main()
