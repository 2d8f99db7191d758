namespace Quorumail.Cluster.State;

/// <summary>The shared state did not do what was asked; <see cref="Fault"/> says why and <see cref="Exception.Message"/> in words.</summary>
public sealed class StateException : Exception
{
    /// <summary>Tells what was wrong.</summary>
    public StateException(StateFault fault, string message)
        : base(message) => Fault = fault;

    /// <summary>Tells what was wrong.</summary>
    public StateException(StateFault fault, string message, Exception innerException)
        : base(message, innerException) => Fault = fault;

    /// <summary>For serializers.</summary>
    public StateException()
    {
    }

    /// <summary>For serializers.</summary>
    public StateException(string message)
        : base(message)
    {
    }

    /// <summary>For serializers.</summary>
    public StateException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>What was wrong.</summary>
    public StateFault Fault { get; } = StateFault.Unavailable;
}
