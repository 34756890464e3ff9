"""Manifests of other systems that carry something of ours: KubeRay's RayService."""
