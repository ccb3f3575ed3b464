"""The figures that judge an estimator: their names, what they say, and which way is better.

What each is computed from is in `headway.evaluation.statistics`, its definition and source in `headway.metrics`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """How a figure is told.

    Attributes:
        words: a few words for a table.
        better: 1 when more is better, -1 when less is, 0 when it only describes.
        meaning: one sentence.
    """

    words: str
    better: int
    meaning: str

    @property
    def heading(self) -> str:
        """The words with an arrow that points to the better side."""
        return f"{self.words}\u00a0{'↓·↑'[self.better + 1]}" if self.better else self.words


GROUPS: dict[str, dict[str, Figure]] = {
    "Order within an episode": {
        "voc": Figure("VOC", 0, "Spearman's correlation of progress with time, mean over episodes; any clock has 1."),
        "voc_success": Figure("VOC success", 1, "The same over episodes that succeed; a clock has 1 here."),
        "voc_failed": Figure("VOC failed", 0, "The same over episodes that fail; the truth's own may be high or low."),
        "tau_a_success": Figure("tau-a success", 1, "Kendall's tau-a with time over successes: ties count against it."),
        "tau_b_success": Figure("tau-b success", 1, "Kendall's tau-b with time over successes: corrected for ties."),
        "monotonicity": Figure("monotonicity", 0, "Share of steps from frame to frame at which progress rises."),
        "drawdown_success": Figure("drawdown success", -1, "Largest fall from an earlier high, mean over successes."),
        "bumps_success": Figure("bumps success", -1, "How often progress turns to fall in a success, mean."),
    },
    "Right or wrong": {
        "mae": Figure("MAE", -1, "Mean absolute error to true progress, mean of the episodes' own means."),
        "mae_expert": Figure("MAE expert", -1, "The same over episodes of experts."),
        "mae_imperfect": Figure("MAE imperfect", -1, "The same over episodes of all others."),
        "mae_failed": Figure("MAE failed", -1, "The same over episodes that fail."),
        "mae_imperfect_isotonic": Figure(
            "MAE isotonic", -1, "MAE imperfect after the best monotone map, fitted on the other half of all episodes."
        ),
        "rmse": Figure("RMSE", -1, "Root of the mean squared error, mean of the episodes' own."),
        "pearson": Figure("Pearson", 1, "Correlation with true progress over all frames of all episodes."),
        "pearson_episode": Figure("Pearson by episode", 1, "The same within each episode, mean over episodes."),
        "stage_accuracy": Figure("stage acc.", 1, "Share of frames whose stage is right, of imperfect episodes."),
        "boundary_error": Figure("boundary error", -1, "Frames from true stage boundaries to the nearest ones found."),
        "boundaries_extra": Figure("false boundaries", -1, "Stage boundaries found that are none, an episode."),
        "bins_mae": Figure("five-bin MAE", -1, "RoboReward: error of the final progress in bins 1 to 5."),
        "class_accuracy": Figure(
            "class acc.",
            1,
            "Share of episodes of SARM's right class: success, partial or failure.",
        ),
    },
    "What weighting needs": {
        "gain_correlation": Figure("gain corr.", 1, "Correlation of gains over the look-ahead with true ones."),
        "gain_sign": Figure("gain sign", 1, "Share of frames that truly gain or lose where it does too."),
        "weight_correlation": Figure("weight corr.", 1, "Correlation of RA-BC weights with those from the truth."),
        "zero_weights": Figure("zero weights", 1, "Overlap of the frames without weight with the truth's (Jaccard)."),
        "non_positive": Figure("no gain", -1, "Share of frames of successes without gain over the look-ahead."),
    },
    "Between episodes": {
        "tau_all": Figure("rank all", 1, "Kendall's tau of final progress over pairs whose true ones differ."),
        "tau_failed": Figure("rank failed", 1, "The same among episodes that fail."),
        "tau_failed_apart": Figure("failed, apart", 1, "The same over pairs that truly differ by more than .05."),
        "pairs_right": Figure("pairs right", 1, "Share of pairs of episodes in the right order; a tie is half right."),
        "margin": Figure("margin", 1, "Mean final progress of successes less that of failures."),
        "kinds_ranked": Figure("kinds ranked", 1, "Kendall's tau of mean final progress of the kinds of demonstrator."),
    },
    "Success": {
        "success_auroc": Figure(
            "AUROC", 1, "Share of pairs of a success and a failure in the right order by final progress."
        ),
        "success_head_auroc": Figure("AUROC success", 1, "Of the final probability of success."),
        "success_ap": Figure("avg. precision", 1, "Of the final probability of success, or progress without one."),
        "success_f1": Figure("F1", 1, "Of the same, called a success above a probability of .5, or progress of .9."),
        "success_brier": Figure("Brier", -1, "Mean squared error of the final probability of success."),
        "success_ece": Figure("ECE", -1, "Expected calibration error of the final probability of success."),
    },
    "Success as it happens": {
        "delay_median": Figure(
            "delay", -1, "Median seconds from the true success to the detector's, without early ones."
        ),
        "delay_p95": Figure("delay p95", -1, "95th percentile of the same."),
        "early": Figure("early fires", -1, "Share of successes in which the detector fires before the task is done."),
        "misses": Figure("misses", -1, "Share of successes in which it never fires."),
        "false_per_failed": Figure("false per failed", -1, "How often it fires in an episode that fails."),
        "false_per_minute": Figure("false per minute", -1, "How often it fires in a minute of episodes that fail."),
    },
}
FIGURES: dict[str, Figure] = {name: figure for group in GROUPS.values() for name, figure in group.items()}
