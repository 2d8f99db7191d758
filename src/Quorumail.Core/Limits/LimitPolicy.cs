namespace Quorumail.Core.Limits;

/// <summary>What a limit means to a node that hears of no leader.</summary>
public enum LimitPolicy
{
    /// <summary>Nothing passes beyond what has been granted.</summary>
    Closed = 1,

    /// <summary>A node's own share passes, which is reserved for it at all times: the cluster never reaches the capacity while shares lie idle.</summary>
    Share = 2,
}
