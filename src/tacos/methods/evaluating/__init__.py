"""What evaluations of trained models say: means, win rates, duels, and how sure they are."""
