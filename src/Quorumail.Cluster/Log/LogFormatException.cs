namespace Quorumail.Cluster.Log;

/// <summary>The log holds something that this version can't read. Going on would make this node's state differ from the others'.</summary>
public sealed class LogFormatException : Exception
{
    /// <summary>Tells what was found, and what to do.</summary>
    public LogFormatException(string message)
        : base(message)
    {
    }

    /// <summary>Tells what was found, and what to do.</summary>
    public LogFormatException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>For serializers.</summary>
    public LogFormatException()
    {
    }
}
