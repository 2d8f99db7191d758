namespace Quorumail.Core;

/// <summary>A promise of the program to itself was broken; the node must not go on as if nothing had happened.</summary>
public sealed class InvariantViolationException : Exception
{
    public InvariantViolationException()
    {
    }

    public InvariantViolationException(string promise)
        : base(promise)
    {
    }

    public InvariantViolationException(string promise, Exception innerException)
        : base(promise, innerException)
    {
    }
}
