namespace Quorumail.Server.Torture;

/// <summary>A torture can't begin or go on; the message says why and what to do.</summary>
internal sealed class TortureException(string message, Exception? cause = null) : Exception(message, cause);
