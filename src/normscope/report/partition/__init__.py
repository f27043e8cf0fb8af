"""Pictures of partitions: settings in; a page, figures, an animation and numbers out."""
