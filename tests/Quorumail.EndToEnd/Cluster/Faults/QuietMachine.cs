namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>Tests that need the machine for themselves: they measure time-outs.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class QuietMachine : ICollectionFixture<SharedLabs>
{
    /// <summary>The collection's name.</summary>
    public const string Name = "quiet machine";
}
