"""daybook.toml and the schemas agree with each other, with the issue's limits, and with the files they name."""

import json
import unittest

from support import ROOT, schema

try:
    import tomllib
except ImportError:         # Python before 3.11
    tomllib = None

KINDS = ["comics", "crawl", "i2v", "page", "qwen", "svi"]
KEYS_OF_KIND = {"schema", "queue", "max_attempts", "max_lost", "timeout_s", "backoff_s", "backoff_max_s",
                "concurrency", "run"}
KEYS_OF_RUN = {"mode", "command", "processes", "grace_s", "env"}


def limits(arg):
    return arg["minimum"], arg["maximum"], arg["default"]


class Schemas(unittest.TestCase):
    def test_there_is_one_for_each_kind_and_each_speaks_about_everything_it_takes(self):
        names = sorted(path.name for path in (ROOT / "schemas" / "kinds").glob("*.json"))
        self.assertEqual(names, [f"{kind}.schema.json" for kind in KINDS])
        for kind in KINDS:
            with self.subTest(kind):
                described = schema(kind)
                self.assertEqual(described["$schema"], "https://json-schema.org/draft/2020-12/schema")
                self.assertIs(described["additionalProperties"], False)
                for part in [described, *described["properties"].values()]:
                    self.assertTrue(part["title"])
                    self.assertTrue(part.get("description") or part["title"] == "URL")

    def test_pictures_have_their_real_limits_and_defaults(self):
        for kind, steps in {"i2v": 8, "svi": 8, "qwen": 4}.items():
            with self.subTest(kind):
                described = schema(kind)
                args = described["properties"]
                self.assertEqual(limits(args["steps"]), (1, 100, steps))
                self.assertEqual(limits(args["cfg"]), (0.1, 20, 1.0))
                self.assertEqual(args["prompt"]["maxLength"], 500)
                self.assertEqual(described["required"], ["prompt"])
                self.assertEqual(described["x-daybook-base64"],
                                 {"properties": ["image", "images"], "max_total_bytes": 10_000_000})

    def test_the_total_of_the_images_fits_into_the_args_of_a_job(self):
        args = {"prompt": "\U0001f5bc" * 500, "image": "A" * 10_000_000}
        self.assertLess(len(json.dumps(args)), 12 * 1024 * 1024)


@unittest.skipIf(tomllib is None, "reading TOML needs Python 3.11")
class Configuration(unittest.TestCase):
    def setUp(self):
        self.config = tomllib.loads((ROOT / "daybook.toml").read_text())

    def test_it_has_the_kinds_and_only_keys_of_the_contract(self):
        self.assertEqual((self.config["listen"], self.config["data"]), ("127.0.0.1:7878", "./daybook-data"))
        self.assertEqual(sorted(self.config["kinds"]), KINDS)
        for kind in self.config["kinds"].values():
            self.assertLessEqual(set(kind), KEYS_OF_KIND)
            self.assertLessEqual(set(kind["run"]), KEYS_OF_RUN)

    def test_every_file_it_names_is_there_and_every_job_has_a_process(self):
        for name, kind in self.config["kinds"].items():
            with self.subTest(name):
                self.assertEqual(kind["schema"], f"schemas/kinds/{name}.schema.json")
                self.assertTrue((ROOT / kind["run"]["command"][1]).is_file())
                self.assertEqual(kind["run"]["processes"], kind["concurrency"])


if __name__ == "__main__":
    unittest.main()
