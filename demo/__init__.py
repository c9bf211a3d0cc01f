"""The demo: a real MLflow registry on one side, the catalog on the other, Tidegate between them. No part of the package."""
