namespace Quorumail.Server.Hosting;

/// <summary>What all members must know before the log holds it: the feature levels of the cluster.</summary>
internal static class FeatureLevels
{
    /// <summary>Shared limits.</summary>
    public const int Limits = 2;

    /// <summary>Small bodies in the commands that enqueue their messages.</summary>
    public const int CarriedBodies = 3;

    /// <summary>Shares of limits that are kept until their nodes have adopted smaller ones.</summary>
    public const int KeptShares = 4;

    /// <summary>Requeueing recipients that are due.</summary>
    public const int RequeueOfDue = 4;

    /// <summary>The highest that this program knows.</summary>
    public const int Highest = RequeueOfDue;
}
