namespace Quorumail.Cluster.Log;

/// <summary>What is known of a proposed command.</summary>
public enum ProposalOutcome
{
    /// <summary>Committed on a majority's disks and applied here.</summary>
    Applied = 0,

    /// <summary>Not committed and never will be.</summary>
    Refused = 1,

    /// <summary>Neither is known: it may be committed, now or later. To be resolved by proposing again or by giving up through the log.</summary>
    Unknown = 2,
}
