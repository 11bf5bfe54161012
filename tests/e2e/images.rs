//! The images that the containers are made of: their versions, and their digests if they are pinned.

use crate::deployment::read;

/// `latest` says nothing, and a file with some digests looks pinned.
#[test]
fn images_of_others_have_a_version_and_all_or_no_digests() {
    let named = |path: &str, key: &str| -> Vec<String> {
        let text = read(path);
        let names = text.lines().filter_map(|line| {
            let image = line.trim_start().strip_prefix(key)?;
            image.split_whitespace().next().map(str::to_owned)
        });
        names.collect()
    };
    let mut images = named("docker-compose.yml", "image: ");
    // A stage has no tag.
    let built = named("Dockerfile", "FROM ").into_iter();
    images.extend(built.filter(|image| image.contains(':')));
    assert!(images.len() > 8, "{images:?}");
    for image in &images {
        let (name, tag) = image.split('@').next().unwrap().rsplit_once(':').unwrap();
        assert!(!name.is_empty() && tag != "latest", "{image}");
    }
    let pinned = images.iter().filter(|image| image.contains("@sha256:"));
    let pinned = pinned.count();
    assert!(
        pinned == 0 || pinned == images.len(),
        "some images have a digest; run `cargo xtask images pin`: {images:?}"
    );
}
