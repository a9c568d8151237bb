"""From any picture to aligned face crops: detection, landmarks, masks, identity."""
